(** All sequences with the query q and the maximum m: those that are proved correct, and those surely wrong. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables.
From Compact Require Import Real.ScaledExp Integer.Numerators Count.Counting Count.Walk Facts.
Import ListNotations.
Open Scope Z_scope.

(** ** Some entries of a vector *)

Fixpoint select (mask : list bool) (a : list Z) : list Z :=
  match mask, a with
  | b :: mask', x :: a' => if b then x :: select mask' a' else select mask' a'
  | _, _ => []
  end.

Definition reduce (mask : list bool) (c : choice) : choice :=
  {| token := token c; terms := select mask (terms c); doubt := doubt c |}.

(** Outputs other than [m] that can reach 0. *)
Fixpoint rivals (y m : nat) (top : list Z) : list bool :=
  match top with [] => [] | x :: rest => (negb (Nat.eqb y m) && (0 <=? x)) :: rivals (S y) m rest end.

Lemma select_plus : forall mask a b, select mask (plus a b) = plus (select mask a) (select mask b).
Proof.
  induction mask as [|[|] mask IH]; intros [|x a] [|y b]; try reflexivity; cbn.
  - now rewrite IH.
  - now destruct (select mask a).
  - apply IH.
Qed.

Lemma total_select : forall mask cs a, total (select mask a) (map (reduce mask) cs) = select mask (total a cs).
Proof.
  unfold total. induction cs as [|c cs IH]; intros a; [reflexivity|]. cbn [fold_left map].
  rewrite <- IH. cbn [reduce terms]. now rewrite select_plus.
Qed.

Lemma total_length : forall n cs a, length a = n -> Forall (fun c => length (terms c) = n) cs -> length (total a cs) = n.
Proof.
  unfold total. induction cs as [|c cs IH]; intros a L U; [assumption|]. inversion U; subst. cbn [fold_left].
  apply IH; [apply zip_length; auto | assumption].
Qed.

Lemma select_length : forall mask n a b, length a = n -> length b = n -> length (select mask a) = length (select mask b).
Proof.
  induction mask as [|[|] mask IH]; intros n [|x a] [|y b] A B; cbn in *; try lia; try reflexivity.
  - f_equal. apply (IH (pred n)); lia.
  - apply (IH (pred n)); lia.
Qed.

(** Whoever is not among the rivals is below 0, and so is the maximum itself, as nobody asks. *)
Lemma rivals_negative : forall m top T y0 i, Forall2 Z.le T top -> negative (select (rivals y0 m top) T) = true ->
  (i < length T)%nat -> (y0 + i)%nat <> m -> nth i T 0 < 0.
Proof.
  intros m top T y0 i H. revert y0 i. induction H as [|x y T top less _ IH]; intros y0 i neg small other; [simpl in small; lia|].
  cbn [rivals select] in neg. destruct i as [|i].
  - cbn. replace (Nat.eqb y0 m) with false in neg by (symmetry; apply Nat.eqb_neq; lia). cbn in neg.
    destruct (0 <=? y) eqn:E; [|apply Z.leb_gt in E; lia].
    cbn in neg. apply andb_prop in neg. now apply Z.ltb_lt.
  - cbn. apply (IH (S y0)); [|simpl in small; lia|lia].
    destruct (negb (Nat.eqb y0 m) && (0 <=? y)); [cbn in neg; now apply andb_prop in neg | assumption].
Qed.

(** ** The terms of a pair *)

Section Pair.
Variable product_of : Z -> Z -> Z -> Z -> Z.
Variables (N : numerators) (k : nat) (q m : nat) (ends : list (Z * Z) * list (Z * Z)).
(** Only correct sequences are asked for; nobody needs doubts. *)
Variable quick : bool.

Definition choice_at (p t : nat) : choice :=
  let both := ends_at (bits_of N) ends p t in
  {| token := t; terms := terms_at product_of N q m p t both; doubt := if quick then 0 else doubt_at N q m p t both |}.

Definition rows_of_pair : list (list choice) := map (fun p => map (choice_at p) (seq 0 (S m))) (seq 0 (k - 1)).
Definition last_choice : choice := choice_at (k - 1) q.

(** Whether a sequence is surely wrong: of its tokens before the query, backwards; which outputs are rivals; their totals
    and doubt. *)
Variable surely_wrong : list bool -> list nat -> list Z -> Z -> bool.

Definition rivals_of_pair : list bool :=
  let own := terms last_choice in
  match most_after (length own) (Nat.eqb q m) (levels m (length own) rows_of_pair) with
  | None => []
  | Some top => rivals 0 m (plus own top)
  end.

Definition count_pair (left : Z) : Z * Z * Z :=
  let mask := rivals_of_pair in
  let start := select mask (terms last_choice) in
  walk m quick (surely_wrong mask) (levels m (length start) (map (map (reduce mask)) rows_of_pair))
    (Nat.eqb q m) start (doubt last_choice) [] left.
End Pair.

Lemma same_length : forall (A B : Type) (P : A -> B -> Prop) a b, Forall2 P a b -> length a = length b.
Proof. intros A B P a b H. induction H; simpl; congruence. Qed.

Lemma token_choice : forall f N q m ends quick p t, token (choice_at f N q m ends quick p t) = t.
Proof. reflexivity. Qed.

Lemma add_up_sum : forall {A : Type} (f : A -> Z) dummy cs,
  IZR (add_up (map f cs)) = sum (length cs) (fun p => IZR (f (nth p cs dummy))).
Proof.
  induction cs as [|c cs IH]; [reflexivity|]. cbn [length map add_up]. rewrite sum_first, plus_IZR, IH. reflexivity.
Qed.

Lemma total_nth : forall n y cs a, length a = n -> Forall (fun c => length (terms c) = n) cs -> (y < n)%nat ->
  nth y (total a cs) 0 = nth y a 0 + add_up (map (fun c => nth y (terms c) 0) cs).
Proof.
  unfold total. induction cs as [|c cs IH]; intros a L U Y; cbn [fold_left map add_up]; [lia|].
  inversion U; subst. rewrite IH by (try apply zip_length; auto). rewrite zip_nth by congruence. lia.
Qed.

Lemma list_max_le_all : forall l m, Forall (fun t => (t <= m)%nat) l -> (list_max l <= m)%nat.
Proof. intros l m all. now apply list_max_le. Qed.

Lemma list_max_in : forall l m, In m l -> Forall (fun t => (t <= m)%nat) l -> list_max l = m.
Proof.
  intros l m I all. apply Nat.le_antisymm; [now apply list_max_le_all|].
  assert (G : Forall (fun t => (t <= list_max l)%nat) l) by now apply list_max_le.
  rewrite Forall_forall in G. now apply G.
Qed.

Section Sound.
Variables (w : weights) (margin : fraction) (e bits : Z).
Variable product_of : Z -> Z -> Z -> Z -> Z.
Hypothesis good : well_formed w = true.
Hypothesis fraction_ok : 0 < snd margin.
Hypothesis natural : 0 <= bits.
Hypothesis product_ok : sound_product product_of.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation k := (n_ctx M).
Notation N := (numerators_of w margin e bits).
Notation mu := (value_of margin).

Variables (q m : nat).
Hypothesis q_le_m : (q <= m)%nat.
Hypothesis m_small : (m < v)%nat.
Notation ends := (ends_of_pair (attention_of w bits) q m).
Variable quick : bool.
Notation choice_of := (choice_at product_of N q m ends quick).
Notation rows := (rows_of_pair product_of N k q m ends quick).
Notation last_one := (last_choice product_of N k q m ends quick).

Lemma terms_choice : forall p t, terms (choice_of p t) = terms_at product_of N q m p t (ends_at bits ends p t).
Proof. reflexivity. Qed.

Lemma k_pos : (0 < k)%nat.
Proof. destruct (sizes w good) as (_ & _ & _ & K). exact K. Qed.

Lemma length_choice : forall p t, (p < k)%nat -> (t <= m)%nat -> length (terms (choice_of p t)) = v.
Proof. intros. rewrite terms_choice. apply terms_length; (assumption || lia). Qed.

Lemma length_last : length (terms last_one) = v.
Proof. apply length_choice; [pose proof k_pos; lia | assumption]. Qed.

(** A member of the product is given by its tokens. *)
Lemma members_of_rows : forall cs, In cs (product rows) ->
  length cs = (k - 1)%nat /\
  forall p, (p < k - 1)%nat -> exists t, (t <= m)%nat /\ nth p cs last_one = choice_of p t.
Proof.
  intros cs I. apply in_product in I. unfold rows_of_pair in I.
  pose proof (same_length _ _ _ _ _ I) as L. rewrite map_length, seq_length in L. split; [assumption|].
  intros p P.
  assert (at_p : In (nth p cs last_one) (nth p (map (fun p => map (choice_of p) (seq 0 (S m))) (seq 0 (k - 1))) [])).
  { apply (Forall2_nth _ _ (fun c row => In c row)); [exact I|]. now rewrite map_length, seq_length. }
  rewrite (nth_map _ _ _ _ _ 0%nat) in at_p by now rewrite seq_length.
  rewrite seq_nth in at_p by assumption. cbn [plus] in at_p.
  apply in_map_iff in at_p. destruct at_p as (t & E & T). apply in_seq in T. exists t. split; [lia | now rewrite <- E].
Qed.

Lemma rows_uniform : Forall (uniform v) rows.
Proof.
  unfold rows_of_pair, uniform. apply Forall_forall. intros row I. apply in_map_iff in I. destruct I as (p & <- & P).
  apply in_seq in P. apply Forall_forall. intros c J. apply in_map_iff in J. destruct J as (t & <- & T). apply in_seq in T.
  apply length_choice; lia.
Qed.

Lemma members_uniform : forall cs, In cs (product rows) -> Forall (fun c => length (terms c) = v) cs.
Proof.
  intros cs I. apply in_product in I. pose proof rows_uniform as U. revert U. induction I as [|c row cs rows J _ IH]; intros U.
  - constructor.
  - inversion U as [|? ? A B]; subst. constructor; [|auto]. unfold uniform in A. rewrite Forall_forall in A. auto.
Qed.

(** The numerator of [y] is at most the entry of the total, in its unit. *)
Lemma total_above : exists unit, (0 < unit)%R /\
  forall cs y, In cs (product rows) -> (y < v)%nat ->
  (numerator M mu m y (map token cs ++ [q]) * unit <= IZR (nth y (total (terms last_one) cs) 0%Z) * pow2 e)%R.
Proof.
  destruct (weights_between w bits good natural q m ltac:(lia)) as (unit & positive & near).
  exists unit. split; [assumption|]. intros cs y I Y.
  destruct (members_of_rows cs I) as [L each]. pose proof k_pos as K.
  set (ts := map token cs). assert (Lt : length ts = (k - 1)%nat) by (unfold ts; now rewrite map_length).
  assert (Eq : nth (k - 1) (ts ++ [q]) 0%nat = q) by (rewrite app_nth2, Lt, Nat.sub_diag by lia; reflexivity).
  unfold numerator. rewrite Eq.
  replace k with (S (k - 1)) at 1 by lia. cbn [sum]. rewrite Eq, Rmult_plus_distr_r.
  rewrite (total_nth v) by (auto using length_last, members_uniform).
  rewrite plus_IZR, Rmult_plus_distr_r, Rplus_comm. apply Rplus_le_compat.
  - unfold last_choice at 1. rewrite terms_choice. apply terms_above; try assumption; try lia. apply near; lia.
  - rewrite (add_up_sum _ last_one), L, <- !sum_scale_r. apply sum_le. intros p P.
    destruct (each p P) as (t & T & E).
    assert (Et : nth p (ts ++ [q]) 0%nat = t).
    { rewrite app_nth1 by lia. unfold ts. rewrite (nth_map _ _ _ _ _ last_one) by lia. now rewrite E, token_choice. }
    rewrite Et, E, terms_choice. apply terms_above; try assumption; try lia. apply near; lia.
Qed.

(** What the sequences of the product have in common. *)
Lemma sequence_of_pair : forall cs, In cs (product rows) -> (Nat.eqb q m || existsb (is_m m) cs) = true ->
  let t := map token cs ++ [q] in
  is_sequence M t /\ label t = m /\ query M t = q /\ length (map token cs) = (k - 1)%nat.
Proof.
  intros cs I holding t. destruct (members_of_rows cs I) as [L each]. pose proof k_pos as K.
  assert (Lt : length (map token cs) = (k - 1)%nat) by now rewrite map_length.
  assert (small : Forall (fun t => (t <= m)%nat) (map token cs)).
  { apply Forall_forall. intros x J. apply (In_nth _ _ 0%nat) in J. destruct J as (p & P & <-). rewrite map_length, L in P.
    destruct (each p P) as (t' & T & E). rewrite (nth_map _ _ _ _ _ last_one) by lia. now rewrite E, token_choice. }
  assert (small' : Forall (fun t => (t <= m)%nat) t).
  { unfold t. apply Forall_app. split; [assumption | constructor; [assumption | constructor]]. }
  repeat split.
  - unfold t. rewrite app_length, Lt. cbn [length]. lia.
  - revert small'. apply Forall_impl. intros x X. apply Nat.le_lt_trans with (1 := X). exact m_small.
  - apply list_max_in; [|assumption]. unfold t. apply in_app_iff. apply orb_prop in holding. destruct holding as [E|E].
    + apply Nat.eqb_eq in E. right. left. assumption.
    + left. apply existsb_exists in E. destruct E as (c & J & E). apply Nat.eqb_eq in E. rewrite <- E. now apply in_map.
  - unfold query, t. rewrite app_nth2, Lt, Nat.sub_diag by lia. reflexivity.
  - assumption.
Qed.

Lemma negative_totals_are_correct : forall cs, In cs (product rows) -> (Nat.eqb q m || existsb (is_m m) cs) = true ->
  (forall y, (y < v)%nat -> y <> m -> nth y (total (terms last_one) cs) 0 < 0) ->
  correct M mu (map token cs ++ [q]).
Proof.
  intros cs I holding all. destruct total_above as (unit & positive & above).
  destruct (sequence_of_pair cs I holding) as (S & E & _). split; [assumption|]. rewrite E. intros y Y other.
  apply separation; [apply k_pos|]. specialize (all y Y other). apply IZR_lt in all.
  specialize (above cs y I Y). pose proof (pow2_pos e).
  apply Rmult_lt_reg_r with unit; [assumption|]. rewrite Rmult_0_l. nra.
Qed.

(** ** Counts *)

(** The cells of the pair: any number of others for [q = m]; for [q < m] some other position holds [m]. *)
Definition cells_of_pair : Z := Z.ones (Z.of_nat (if Nat.eqb q m then positions w else positions w - 1)).

Lemma others_in_cells : forall cs, In cs (product rows) -> (Nat.eqb q m || existsb (is_m m) cs) = true ->
  Z.testbit cells_of_pair (Z.of_nat (others M (map token cs ++ [q]))) = true.
Proof.
  intros cs I holding. destruct (sequence_of_pair cs I holding) as (_ & E & _ & L). pose proof k_pos as K.
  unfold cells_of_pair, others. rewrite E.
  rewrite firstn_app, L, Nat.sub_diag, firstn_all2 by lia. rewrite firstn_O, app_nil_r.
  set (P := fun token => negb (Nat.eqb token m)).
  assert (G : forall l, (length (filter P l) <= length l)%nat /\ (In m l -> (length (filter P l) < length l)%nat)).
  { induction l as [|x l [A B]]; [split; [simpl; lia | easy]|]. cbn [filter length In].
    destruct (P x) eqn:X; cbn [length]; split; intros; try lia.
    destruct H as [->|J]; [unfold P in X; rewrite Nat.eqb_refl in X; discriminate|]. specialize (B J). lia. }
  destruct (G (map token cs)) as [A B]. change (positions w) with k. apply Z.ones_spec_low.
  destruct (Nat.eqb q m) eqn:Q; [lia|]. cbn in holding.
  apply existsb_exists in holding. destruct holding as (c & J & X). apply Nat.eqb_eq in X.
  assert (In m (map token cs)) by (rewrite <- X; now apply in_map). specialize (B H). lia.
Qed.

Variables (surely_wrong : list bool -> list nat -> list Z -> Z -> bool) (left : Z).
Notation counted := (count_pair product_of N k q m ends quick surely_wrong left).
Notation mask := (rivals_of_pair product_of N k q m ends quick).
Notation start := (select mask (terms last_one)).
Notation reduced := (map (map (reduce mask)) rows).

Definition entry_of_pair (c n : Z) : entry_of_tally := Entry (Z.of_nat m) (Z.shiftl 1 (Z.of_nat q)) cells_of_pair c n.

Lemma in_region_of_pair : forall cs c n, In cs (product rows) -> (Nat.eqb q m || existsb (is_m m) cs) = true ->
  in_region M (entry_of_pair c n) (map token cs ++ [q]).
Proof.
  intros cs c n I holding. destruct (sequence_of_pair cs I holding) as (_ & E & Q & _).
  unfold in_region, entry_of_pair. cbn [of_label queries ns]. rewrite E, Q.
  repeat split; [|now apply others_in_cells].
  rewrite Z.shiftl_spec by lia. rewrite Z.sub_diag. reflexivity.
Qed.

Lemma reduced_members : forall cs', In cs' (product reduced) ->
  exists cs, In cs (product rows) /\ cs' = map (reduce mask) cs.
Proof.
  intros cs' I. rewrite <- product_map in I. apply in_map_iff in I. destruct I as (cs & <- & I). eauto.
Qed.

Lemma reduced_tokens : forall cs, map token (map (reduce mask) cs) = map token cs.
Proof. intros. rewrite map_map. now apply map_ext. Qed.

Lemma reduced_is_m : forall cs, existsb (is_m m) (map (reduce mask) cs) = existsb (is_m m) cs.
Proof. induction cs as [|c cs IH]; [reflexivity|]. cbn [map existsb]. now rewrite IH. Qed.

Lemma reduced_distinct : Forall (fun row => NoDup (map token row)) reduced.
Proof.
  rewrite Forall_map. apply Forall_forall. intros row I. rewrite reduced_tokens.
  apply in_map_iff in I. destruct I as (p & <- & _). rewrite map_map.
  rewrite (map_ext _ (fun t => t)) by (intros; apply token_choice). rewrite map_id. apply seq_NoDup.
Qed.

Lemma reduced_uniform : Forall (uniform (length start)) reduced.
Proof.
  rewrite Forall_map. pose proof rows_uniform as U. revert U. apply Forall_impl. intros row U.
  unfold uniform in *. rewrite Forall_map. revert U. apply Forall_impl. intros c L. cbn [reduce terms].
  apply select_length with (n := v); [assumption | apply length_last].
Qed.

Theorem counted_correct : forall c n,
  at_least (correct_of counted) (fun t => correct M mu t /\ in_region M (entry_of_pair c n) t).
Proof.
  intros c n. unfold count_pair.
  destruct (walk_counts m quick (surely_wrong mask) (length start) reduced reduced_uniform
    (Nat.eqb q m) start (doubt last_one) [] left eq_refl) as [below _].
  apply (at_least_count _ token reduced q _ _ _ reduced_distinct) with (2 := below).
  intros cs' I A. destruct (reduced_members cs' I) as (cs & J & ->). rewrite reduced_tokens.
  unfold accepted in A. rewrite reduced_is_m, total_select in A. apply andb_prop in A. destruct A as [holding neg].
  split; [|now apply in_region_of_pair]. apply negative_totals_are_correct; [assumption | assumption|].
  intros y Y other.
  destruct (total_below m _ _ rows_uniform cs (Nat.eqb q m) (terms last_one) J length_last holding) as (top & F & low).
  unfold rivals_of_pair in neg. rewrite length_last, F in neg.
  apply (rivals_negative m _ _ 0 y low neg); [|lia].
  rewrite (total_length v); auto using length_last, members_uniform.
Qed.

Theorem counted_wrong : forall c n,
  (forall cs, In cs (product rows) -> (Nat.eqb q m || existsb (is_m m) cs) = true ->
     surely_wrong mask (rev (map token cs)) (select mask (total (terms last_one) cs)) (total_doubt (doubt last_one) cs) = true ->
     ~ correct M mu (map token cs ++ [q])) ->
  at_least (wrong_of counted) (fun t => wrong M mu t /\ in_region M (entry_of_pair c n) t).
Proof.
  intros c n sound. unfold count_pair.
  destruct (walk_counts m quick (surely_wrong mask) (length start) reduced reduced_uniform
    (Nat.eqb q m) start (doubt last_one) [] left eq_refl) as [_ below].
  apply (at_least_count _ token reduced q _ _ _ reduced_distinct) with (2 := below).
  intros cs' I A. destruct (reduced_members cs' I) as (cs & J & ->). rewrite reduced_tokens.
  unfold refused in A. rewrite reduced_is_m, total_select, reduced_tokens, app_nil_r in A.
  apply andb_prop in A. destruct A as [holding surely].
  destruct (sequence_of_pair cs J holding) as (S & _). split; [split; [assumption|] | now apply in_region_of_pair].
  apply sound; [assumption | assumption|]. rewrite <- surely. f_equal.
  unfold total_doubt. generalize (doubt last_one). clear. induction cs as [|c cs IH]; intros d; [reflexivity|].
  cbn [map fold_left]. now rewrite IH.
Qed.
End Sound.

(** ** Sequences that are surely wrong *)

(** After all doubts some rival is not behind. *)
Definition ahead (totals : list Z) (doubts : Z) : bool := existsb (fun x => doubts <=? x) totals.

Lemma select_ahead : forall m top T y0 d, ahead (select (rivals y0 m top) T) d = true -> (length T <= length top)%nat ->
  exists i, (i < length T)%nat /\ (y0 + i)%nat <> m /\ d <= nth i T 0.
Proof.
  intros m top. induction top as [|x top IH]; intros [|t T] y0 d A L; try discriminate.
  cbn [rivals select] in A.
  assert (later : ahead (select (rivals (S y0) m top) T) d = true ->
    exists i, (i < length (t :: T))%nat /\ (y0 + i)%nat <> m /\ d <= nth i (t :: T) 0).
  { intros B. destruct (IH T (S y0) d B ltac:(simpl in L; lia)) as (i & I & other & most). exists (S i).
    repeat split; [simpl; lia | lia | assumption]. }
  destruct (negb (Nat.eqb y0 m) && (0 <=? x)) eqn:R; [|now apply later].
  cbn in A. apply orb_prop in A. destruct A as [A|A]; [|now apply later].
  apply andb_prop in R. destruct R as [R _]. apply negb_true_iff, Nat.eqb_neq in R. apply Z.leb_le in A.
  exists 0%nat. repeat split; [simpl; lia | lia | assumption].
Qed.

Lemma total_doubt_sum : forall cs d, total_doubt d cs = d + add_up (map doubt cs).
Proof.
  unfold total_doubt. induction cs as [|c cs IH]; intros d; cbn [fold_left map add_up]; [lia|]. rewrite IH. lia.
Qed.

Section Wrong.
Variables (w : weights) (margin : fraction) (e bits : Z) (q m : nat).
Hypothesis good : well_formed w = true.
Hypothesis fraction_ok : 0 < snd margin.
Hypothesis natural : 0 <= bits.
Hypothesis q_le_m : (q <= m)%nat.
Hypothesis m_small : (m < d_vocab (model_of w))%nat.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation k := (n_ctx M).
Notation N := (numerators_of w margin e bits).
Notation mu := (value_of margin).
Notation ends := (ends_of_pair (attention_of w bits) q m).
Notation rows := (rows_of_pair reach N k q m ends false).
Notation last_one := (last_choice reach N k q m ends false).
Notation mask := (rivals_of_pair reach N k q m ends false).

Lemma total_not_far_above : exists unit, (0 < unit)%R /\
  forall cs y, In cs (product rows) -> (y < v)%nat ->
  (IZR (nth y (total (terms last_one) cs) 0%Z - total_doubt (doubt last_one) cs) * pow2 e
     <= numerator M mu m y (map token cs ++ [q]) * unit)%R.
Proof.
  destruct (weights_between w bits good natural q m ltac:(lia)) as (unit & positive & near).
  exists unit. split; [assumption|]. intros cs y I Y.
  destruct (members_of_rows w margin e bits reach q m q_le_m m_small false cs I) as [L each].
  pose proof (k_pos w good) as K.
  set (ts := map token cs). assert (Lt : length ts = (k - 1)%nat) by (unfold ts; now rewrite map_length).
  assert (Eq : nth (k - 1) (ts ++ [q]) 0%nat = q) by (rewrite app_nth2, Lt, Nat.sub_diag by lia; reflexivity).
  unfold numerator. rewrite Eq.
  replace k with (S (k - 1)) at 3 by lia. cbn [sum]. rewrite Eq, Rmult_plus_distr_r.
  rewrite (total_nth v), total_doubt_sum
    by eauto using length_last, members_uniform.
  replace (nth y (terms last_one) 0 + add_up (map (fun c => nth y (terms c) 0) cs) - (doubt last_one + add_up (map doubt cs)))%Z
    with (add_up (map (fun c => nth y (terms c) 0 - doubt c) cs) + (nth y (terms last_one) 0 - doubt last_one))%Z.
  2:{ assert (A : forall l, add_up (map (fun c => nth y (terms c) 0 - doubt c) l) =
        add_up (map (fun c => nth y (terms c) 0) l) - add_up (map doubt l))
        by (induction l as [|c l IH]; cbn [map add_up]; lia). rewrite A. lia. }
  rewrite plus_IZR, Rmult_plus_distr_r. apply Rplus_le_compat.
  - rewrite (add_up_sum _ last_one), L, <- !sum_scale_r. apply sum_le. intros p P.
    destruct (each p P) as (t & T & E).
    assert (Et : nth p (ts ++ [q]) 0%nat = t).
    { rewrite app_nth1 by lia. unfold ts. rewrite (nth_map _ _ _ _ _ last_one) by lia. now rewrite E. }
    rewrite Et, E. apply terms_below; try assumption; try lia. apply near; lia.
  - apply terms_below; try assumption; try lia. apply near; lia.
Qed.

Lemma ahead_is_wrong : forall cs, In cs (product rows) -> (Nat.eqb q m || existsb (is_m m) cs) = true ->
  ahead (select mask (total (terms last_one) cs)) (total_doubt (doubt last_one) cs) = true ->
  ~ correct M mu (map token cs ++ [q]).
Proof.
  intros cs I holding A [_ all].
  destruct (sequence_of_pair w margin e bits reach good q m q_le_m m_small false cs I holding) as (_ & E & _).
  destruct (total_not_far_above) as (unit & positive & above).
  pose proof (length_last w margin e bits reach good q m q_le_m m_small false) as Ll.
  destruct (total_below m _ _ (rows_uniform w margin e bits reach good q m q_le_m m_small false) cs (Nat.eqb q m)
    (terms last_one) I Ll holding) as (top & F & low).
  unfold rivals_of_pair in A. rewrite Ll, F in A.
  pose proof (same_length _ _ _ _ _ low) as same.
  destruct (select_ahead m _ _ 0 _ A ltac:(rewrite same; apply le_n)) as (y & Y & other & most).
  rewrite (total_length v) in Y by eauto using length_last, members_uniform.
  specialize (above cs y I Y). specialize (all y Y ltac:(rewrite E; lia)). rewrite E in all.
  apply separation in all; [|apply (k_pos w good)].
  assert (0 <= nth y (total (terms last_one) cs) 0 - total_doubt (doubt last_one) cs) as D by lia.
  apply IZR_le in D. pose proof (pow2_pos e). nra.
Qed.
End Wrong.

