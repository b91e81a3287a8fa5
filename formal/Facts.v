(** CERTIFICATE.md, section 4: facts about max-of-k, what they mean, and when a stated one follows from a derived one. *)

From Coq Require Import Reals ZArith List Lra Lia Bool Arith.
From Compact Require Import Spec.Model Real.Separation Integer.Dyadic Integer.Matrix Real.ScaledExp Count.Counting.
Import ListNotations.
Open Scope Z_scope.

(** The last token. *)
Definition query (M : model) (t : list nat) : nat := nth (n_ctx M - 1) t 0%nat.

(** How many of the other positions hold a token other than the label. *)
Definition others (M : model) (t : list nat) : nat :=
  length (filter (fun token => negb (Nat.eqb token (label t))) (firstn (n_ctx M - 1) t)).

(** Of the sequences with this label, a query of the set [queries] and a number [others] of the set [ns], at least
    [right] are correct and at least [missed] are not. Sets are bit masks. *)
Record entry_of_tally := Entry { of_label : Z; queries : Z; ns : Z; right : Z; missed : Z }.

Definition in_region (M : model) (e : entry_of_tally) (t : list nat) : Prop :=
  Z.of_nat (label t) = of_label e /\ Z.testbit (queries e) (Z.of_nat (query M t)) = true /\
  Z.testbit (ns e) (Z.of_nat (others M t)) = true.

Definition entry_true (M : model) (margin : R) (e : entry_of_tally) : Prop :=
  at_least (right e) (fun t => correct M margin t /\ in_region M e t) /\
  at_least (missed e) (fun t => wrong M margin t /\ in_region M e t).

(** [bounds] has a row for each maximum m, with entries for queries, or tokens, up to m. *)
Inductive fact :=
| Direct_path_upper (bounds : matrix)
| Value_path_upper (bounds : matrix)
| Cubic_tokens (masks : list (list (list Z)))  (** [masks[m][q][n - 1]] *)
| Tally (counts : list entry_of_tally)
| Accuracy (right missed : Z)
| Score_approximation (kept : matrix) (error : list Z)
| Direct_path_spread (centre spread : matrix)
| Value_path_spread (bounds : matrix)
| Max_token_path (spread lines : matrix)
| Attention_ranges (bits : Z) (ranges : list (list (list (list Z)))).  (** [ranges[m][q][n]] is [[gap; low; high]], or nothing *)

Definition mask_at (masks : list (list (list Z))) (m q n : nat) : Z := nth (n - 1) (nth q (nth m masks []) []) 0.

(** Every token before the query is the maximum or accepted, and some are not the maximum. *)
Definition all_accepted (M : model) (masks : list (list (list Z))) (t : list nat) : Prop :=
  (0 < others M t)%nat /\ forall token, In token (firstn (n_ctx M - 1) t) -> token <> label t ->
    Z.testbit (mask_at masks (label t) (query M t) (others M t)) (Z.of_nat token) = true.

(** What of the direct path is kept, the same for all queries: a row in the place of the residual, or nothing. *)
Definition kept_path (M : model) (centre : matrix) (y : nat) : R :=
  match rows centre with
  | [] => 0%R
  | _ => (sum (d_model M) (fun i => number centre 0 i * W_U M i y) + direct_constant M y)%R
  end.

(** The row of the lines of a maximum and n others: one for each m, or for each m and n. *)
Definition row_of_lines (v k : nat) (lines : matrix) (m n : nat) : nat :=
  if Nat.ltb v (length (rows lines)) then (m * k + n)%nat else m.
Definition lines_row (M : model) : matrix -> nat -> nat -> nat := row_of_lines (d_vocab M) (n_ctx M).

(** The attention on the positions that hold the label. *)
Definition attention_on_label (M : model) (t : list nat) : R :=
  sum (n_ctx M) (fun p => if Nat.eqb (nth p t 0%nat) (label t) then attention M t (n_ctx M - 1) p else 0%R).

Definition range_at (ranges : list (list (list (list Z)))) (m q n : nat) : list Z := nth n (nth q (nth m ranges []) []) [].

(** Of a query, what is in a gap's reach of the maximum does not occur. *)
Definition range_true (M : model) (bits : Z) (ranges : list (list (list (list Z)))) (t : list nat) : Prop :=
  match range_at ranges (label t) (query M t) (others M t) with
  | [gap; low; high] =>
      (forall p, (p < n_ctx M)%nat -> nth p t 0%nat <> label t -> Z.of_nat (nth p t 0%nat) <= Z.of_nat (label t) - gap) ->
      (IZR low <= attention_on_label M t * powerRZ 2 bits <= IZR high)%R
  | _ => True
  end.

(** A gap keeps the query apart from the maximum, if it is not the maximum itself. *)
Definition gaps_fit (ranges : list (list (list (list Z)))) : Prop :=
  forall m q n gap low high, (q <= m)%nat -> range_at ranges m q n = [gap; low; high] ->
    1 <= gap <= Z.of_nat m /\ (q <> m -> Z.of_nat q <= Z.of_nat m - gap).

Definition holds (M : model) (margin : R) (f : fact) : Prop :=
  match f with
  | Direct_path_upper bounds => forall q m y, (q <= m)%nat -> (m < d_vocab M)%nat -> (y < d_vocab M)%nat -> y <> m ->
      (EUPU M q y - EUPU M q m + margin <= number bounds m q)%R
  | Value_path_upper bounds => forall t m y p, (t <= m)%nat -> (m < d_vocab M)%nat -> (y < d_vocab M)%nat -> y <> m ->
      (p < n_ctx M)%nat -> (EVOU M t y - EVOU M t m + (PVOU M p y - PVOU M p m) <= number bounds m t)%R
  | Cubic_tokens masks => forall t, is_sequence M t -> all_accepted M masks t -> correct M margin t
  | Tally counts => Forall (entry_true M margin) counts
  | Accuracy c w => at_least c (correct M margin) /\ at_least w (wrong M margin)
  | Score_approximation kept error =>
      has_shape kept (d_vocab M) (d_vocab M) /\ length error = d_vocab M /\
      forall q t t', (q < d_vocab M)%nat -> (t < d_vocab M)%nat -> (t' < d_vocab M)%nat ->
        (Rabs ((token_scores M q t - token_scores M q t') - (number kept q t - number kept q t'))
          <= IZR (nth q error 0%Z) * powerRZ 2 (exponent kept))%R
  | Direct_path_spread centre spread => forall q y y', (q < d_vocab M)%nat -> (y < d_vocab M)%nat -> (y' < d_vocab M)%nat ->
      ((EUPU M q y - kept_path M centre y) - (EUPU M q y' - kept_path M centre y') <= number spread 0 q)%R
  | Value_path_spread bounds => forall t t' y y', (t' <= t)%nat -> (t < d_vocab M)%nat -> (y < d_vocab M)%nat -> (y' < d_vocab M)%nat ->
      (EVOU M t' y - EVOU M t' y' <= number bounds 0 t)%R
  | Max_token_path spread lines => forall q m y n p a, (q <= m)%nat -> (m < d_vocab M)%nat -> (y < d_vocab M)%nat -> y <> m ->
      (n < n_ctx M)%nat -> (p < n_ctx M)%nat -> (0 <= a <= 1)%R ->
      exists l, let row := lines_row M lines m n in (2 * l + 1 < length (nth row (rows lines) []))%nat /\
        (EUPU M q y - EUPU M q m + (PVOU M p y - PVOU M p m) + a * (EVOU M m y - EVOU M m m)
          <= number spread 0 q + (number lines row (2 * l) * a + number lines row (2 * l + 1)))%R
  | Attention_ranges bits ranges => gaps_fit ranges /\ forall t, is_sequence M t -> range_true M bits ranges t
  end.

(** ** Refusals *)

Inductive refusal :=
| bad_premise | wrong_margin | bound_too_small | token_not_accepted | wrong_premises | wrong_shape | count_too_large | wrong_region | no_such_region
| region_covered_twice | error_too_small | other_centre | wrong_unit | range_too_narrow | bad_gap | not_dominant | not_a_partition | no_such_class | wrong_token_left_out | nothing_proved
| over_budget | out_of_range | bad_weights | bad_automaton | wrong_label | wrong_task | mean_above_bound | too_coarse
| not_a_ladder | loss_unbounded | loss_too_small.

Inductive outcome (A : Type) := Fine (a : A) | Refused (why : refusal).
Arguments Fine {A}.
Arguments Refused {A}.

Lemma fine_eq : forall (A : Type) (a b : A), Fine a = Fine b -> a = b.
Proof. intros A a b E. now inversion E. Qed.

(** No function: a program would work out what is required, and then look at the test. *)
Notation require test why next := (if (test : bool) then next else Refused why) (only parsing).

Lemma require_fine : forall (A : Type) test why (next : outcome A) a,
  require test why next = Fine a -> test = true /\ next = Fine a.
Proof. intros A [] why next a E; [now split | discriminate]. Qed.

(** ** Entailment *)

Section Each.
Context {A : Type} (f : A -> A -> outcome unit).

(** The lists are as long as each other, and what is derived entails what is stated, entry by entry. *)
Fixpoint each_of (derived stated : list A) : outcome unit :=
  match derived, stated with
  | d :: derived', s :: stated' => match f d s with Fine _ => each_of derived' stated' | Refused why => Refused why end
  | _, _ => Fine tt
  end.

Definition each (derived stated : list A) : outcome unit :=
  require (Nat.eqb (length derived) (length stated)) wrong_shape (each_of derived stated).

Lemma each_sound : forall derived stated, each derived stated = Fine tt ->
  length derived = length stated /\
  forall i d s, (i < length stated)%nat -> f (nth i derived d) (nth i stated s) = Fine tt.
Proof.
  intros derived stated E. apply require_fine in E. destruct E as [L E]. apply Nat.eqb_eq in L. split; [assumption|].
  revert stated L E. induction derived as [|x derived IH]; intros [|y stated] L E i d s I; try discriminate; [simpl in I; lia|].
  cbn [each_of] in E. destruct (f x y) as [[]|] eqn:F; [|discriminate].
  destruct i as [|i]; [exact F|]. cbn [nth]; apply IH; [simpl in L; lia | exact E | simpl in I; lia].
Qed.
End Each.

(** No stated bound is below the derived one, compared in the finer of the two units. *)
Definition bounds_entail (derived stated : matrix) : outcome unit :=
  let up := Z.max (exponent derived - exponent stated) 0 in
  let up' := Z.max (exponent stated - exponent derived) 0 in
  each (each (fun d s => require (Z.shiftl d up <=? Z.shiftl s up') bound_too_small (Fine tt))) (rows derived) (rows stated).

Definition masks_entail : list (list (list Z)) -> list (list (list Z)) -> outcome unit :=
  each (each (each (fun accepted stated =>
    require ((0 <=? stated) && (Z.land stated accepted =? stated)) token_not_accepted (Fine tt)))).

Definition counts_entail : list entry_of_tally -> list entry_of_tally -> outcome unit :=
  each (fun d s =>
    require ((of_label d =? of_label s) && (queries d =? queries s) && (ns d =? ns s)) wrong_region
      (require ((right s <=? right d) && (missed s <=? missed d)) count_too_large (Fine tt))).

(** The error grows by at least the spread of the change in the kept scores of the query. *)
Definition scores_entail (derived stated : matrix) (error error' : list Z) : outcome unit :=
  let up := Z.max (exponent derived - exponent stated) 0 in
  let up' := Z.max (exponent stated - exponent derived) 0 in
  require (Nat.eqb (length (rows derived)) (length (rows stated)) && Nat.eqb (length error) (length error')) wrong_shape
  (each (fun (d s : list Z * Z) =>
    require (Nat.eqb (length (fst d)) (length (fst s))) wrong_shape
    (let change := zip (fun x y => Z.shiftl y up' - Z.shiftl x up) (fst d) (fst s) in
     let spread := largest change + largest (map Z.opp change) in
     require (spread + Z.shiftl (snd d) up <=? Z.shiftl (snd s) up') error_too_small (Fine tt)))
    (combine (rows derived) error) (combine (rows stated) error')).

Fixpoint same_list {A : Type} (same : A -> A -> bool) (a b : list A) : bool :=
  match a, b with
  | [], [] => true
  | x :: a', y :: b' => same x y && same_list same a' b'
  | _, _ => false
  end.

Definition same_rows : list (list Z) -> list (list Z) -> bool := same_list (same_list Z.eqb).

Definition ranges_entail : list (list (list (list Z))) -> list (list (list (list Z))) -> outcome unit :=
  each (each (each (fun derived stated =>
    match derived, stated with
    | [], [] => Fine tt
    | [gap; low; high], [gap'; low'; high'] =>
        require ((gap =? gap') && (low' <=? low) && (high <=? high')) range_too_narrow (Fine tt)
    | _, _ => Refused wrong_shape
    end))).

Definition entails (derived stated : fact) : outcome unit :=
  match derived, stated with
  | Direct_path_upper d, Direct_path_upper s => bounds_entail d s
  | Value_path_upper d, Value_path_upper s => bounds_entail d s
  | Cubic_tokens d, Cubic_tokens s => masks_entail d s
  | Tally d, Tally s => counts_entail d s
  | Accuracy c w, Accuracy c' w' => require ((c' <=? c) && (w' <=? w)) count_too_large (Fine tt)
  | Score_approximation d error, Score_approximation s error' => scores_entail d s error error'
  | Direct_path_spread c d, Direct_path_spread c' s =>
      require ((exponent c =? exponent c') && same_rows (rows c) (rows c')) other_centre (bounds_entail d s)
  | Value_path_spread d, Value_path_spread s => bounds_entail d s
  | Max_token_path d lines, Max_token_path s lines' =>
      match bounds_entail d s with Fine _ => bounds_entail lines lines' | Refused why => Refused why end
  | Attention_ranges bits d, Attention_ranges bits' s => require (bits =? bits') wrong_unit (ranges_entail d s)
  | _, _ => Refused wrong_premises
  end.

Lemma bounds_entail_sound : forall d s i j, bounds_entail d s = Fine tt -> (number d i j <= number s i j)%R.
Proof.
  intros d s i j E. unfold bounds_entail in E. apply each_sound in E. destruct E as [L E].
  unfold number, entry.
  destruct (Nat.lt_ge_cases i (length (rows s))) as [I|I].
  2:{ rewrite !(nth_overflow (rows _)) by lia. destruct j; simpl; lra. }
  specialize (E i [] [] I). apply each_sound in E. destruct E as [L' E].
  destruct (Nat.lt_ge_cases j (length (nth i (rows s) []))) as [J|J].
  2:{ rewrite !(nth_overflow (nth i _ [])) by lia. lra. }
  specialize (E j 0 0 J). apply require_fine in E. destruct E as [E _]. apply Z.leb_le, IZR_le in E.
  set (x := nth j (nth i (rows d) []) 0) in *. set (y := nth j (nth i (rows s) []) 0) in *.
  rewrite !shiftl_real in E by lia.
  set (e := Z.min (exponent d) (exponent s)).
  replace (powerRZ 2 (exponent d)) with (pow2 (Z.max (exponent d - exponent s) 0) * pow2 e)%R
    by (rewrite <- pow2_add; f_equal; lia).
  replace (powerRZ 2 (exponent s)) with (pow2 (Z.max (exponent s - exponent d) 0) * pow2 e)%R
    by (rewrite <- pow2_add; f_equal; lia).
  rewrite <- !Rmult_assoc. apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos | exact E].
Qed.

Lemma masks_entail_sound : forall d s m q n token, masks_entail d s = Fine tt ->
  Z.testbit (mask_at s m q n) token = true -> Z.testbit (mask_at d m q n) token = true.
Proof.
  intros d s m q n token E. unfold masks_entail, mask_at in *. apply each_sound in E. destruct E as [L E].
  destruct (Nat.lt_ge_cases m (length s)) as [I|I].
  2:{ rewrite (nth_overflow s) by lia. destruct q, (n - 1)%nat; simpl; now rewrite Z.bits_0. }
  specialize (E m [] [] I). apply each_sound in E. destruct E as [L' E].
  destruct (Nat.lt_ge_cases q (length (nth m s []))) as [J|J].
  2:{ rewrite (nth_overflow (nth m s [])) by lia. destruct (n - 1)%nat; simpl; now rewrite Z.bits_0. }
  specialize (E q [] [] J). apply each_sound in E. destruct E as [L'' E].
  destruct (Nat.lt_ge_cases (n - 1) (length (nth q (nth m s []) []))) as [K|K].
  2:{ rewrite (nth_overflow (nth q _ [])) by lia. now rewrite Z.bits_0. }
  specialize (E (n - 1)%nat 0 0 K). apply require_fine in E. destruct E as [E _].
  apply andb_prop in E. destruct E as [_ E]. apply Z.eqb_eq in E. intros T.
  rewrite <- E, Z.land_spec in T. now apply andb_prop in T.
Qed.

Lemma counts_entail_sound : forall M margin d s,
  counts_entail d s = Fine tt -> Forall (entry_true M margin) d -> Forall (entry_true M margin) s.
Proof.
  intros M margin d s E all. apply each_sound in E. destruct E as [L E].
  apply Forall_forall. intros e I. apply (In_nth _ _ e) in I. destruct I as (i & I & <-).
  specialize (E i e e I). apply require_fine in E. destruct E as [same E]. apply require_fine in E. destruct E as [less _].
  rewrite Forall_forall in all. specialize (all (nth i d e) ltac:(apply nth_In; lia)).
  rewrite !andb_true_iff, !Z.eqb_eq, !Z.leb_le in *. destruct same as [[F Q] N]. destruct less as [C W].
  destruct all as [A B]. unfold entry_true, in_region in *. rewrite <- F, <- Q, <- N.
  split; [apply at_least_weaken with (1 := A) | apply at_least_weaken with (1 := B)]; auto.
Qed.

Lemma scores_entail_sound : forall M margin d s error error', scores_entail d s error error' = Fine tt ->
  holds M margin (Score_approximation d error) -> holds M margin (Score_approximation s error').
Proof.
  intros M margin d s error error' E ([Ld Sd] & Le & close). unfold scores_entail in E.
  apply require_fine in E. destruct E as [L E]. apply andb_prop in L. destruct L as [L Le']. apply Nat.eqb_eq in L, Le'.
  apply each_sound in E. destruct E as [_ E]. rewrite combine_length in E.
  set (v := d_vocab M) in *.
  assert (each_row : forall q, (q < v)%nat ->
    length (nth q (rows d) []) = length (nth q (rows s) []) /\
    let change := zip (fun x y => Z.shiftl y (Z.max (exponent s - exponent d) 0) - Z.shiftl x (Z.max (exponent d - exponent s) 0))
                      (nth q (rows d) []) (nth q (rows s) []) in
    largest change + largest (map Z.opp change) + Z.shiftl (nth q error 0) (Z.max (exponent d - exponent s) 0)
      <= Z.shiftl (nth q error' 0) (Z.max (exponent s - exponent d) 0)).
  { intros q Q. specialize (E q ([], 0) ([], 0) ltac:(lia)). rewrite !combine_nth in E by lia. cbn [fst snd] in E.
    apply require_fine in E. destruct E as [Lr E]. apply require_fine in E. destruct E as [T _].
    apply Nat.eqb_eq in Lr. apply Z.leb_le in T. split; assumption. }
  assert (shape : has_shape s v v).
  { split; [lia|]. apply Forall_forall. intros row I. apply (In_nth _ _ []) in I. destruct I as (q & Q & <-).
    destruct (each_row q ltac:(lia)) as [<- _]. rewrite Forall_forall in Sd. apply Sd, nth_In. lia. }
  split; [exact shape|]. split; [lia|]. intros q t t' Q T T'. specialize (close q t t' Q T T').
  destruct (each_row q Q) as [_ less]. cbn zeta in less.
  assert (Lq : length (nth q (rows d) []) = v) by (apply (row_length d v v); [now split | assumption]).
  assert (Lq' : length (nth q (rows s) []) = v) by (apply (row_length s v v); assumption).
  set (up := Z.max (exponent d - exponent s) 0) in *. set (up' := Z.max (exponent s - exponent d) 0) in *.
  set (change := zip _ _ _) in *.
  assert (Lc : length change = v) by now apply zip_length.
  assert (at_ : forall i, (i < v)%nat -> nth i change 0 = Z.shiftl (entry s q i) up' - Z.shiftl (entry d q i) up).
  { intros i I. unfold change. rewrite zip_nth by lia. reflexivity. }
  assert (bound : forall i j, (i < v)%nat -> (j < v)%nat -> nth i change 0 - nth j change 0 <= largest change + largest (map Z.opp change)).
  { intros i j I J. pose proof (largest_ge change (nth i change 0) ltac:(apply nth_In; lia)).
    pose proof (largest_ge (map Z.opp change) (- nth j change 0) ltac:(apply in_map, nth_In; lia)). lia. }
  set (e := Z.min (exponent d) (exponent s)).
  assert (unit_d : forall x, (IZR x * powerRZ 2 (exponent d) = IZR (Z.shiftl x up) * powerRZ 2 e)%R).
  { intros x. rewrite shiftl_real by (unfold up; lia). rewrite Rmult_assoc, <- pow2_add. repeat f_equal. unfold up, e. lia. }
  assert (unit_s : forall x, (IZR x * powerRZ 2 (exponent s) = IZR (Z.shiftl x up') * powerRZ 2 e)%R).
  { intros x. rewrite shiftl_real by (unfold up'; lia). rewrite Rmult_assoc, <- pow2_add. repeat f_equal. unfold up', e. lia. }
  unfold number in *. rewrite !unit_d in close. rewrite !unit_s. pose proof (pow2_pos e) as P.
  pose proof (bound t t' T T') as B1. pose proof (bound t' t T' T) as B2. rewrite !at_ in B1, B2 by assumption.
  set (a := Z.shiftl (entry s q t) up') in *. set (a' := Z.shiftl (entry s q t') up') in *.
  set (b := Z.shiftl (entry d q t) up) in *. set (b' := Z.shiftl (entry d q t') up) in *.
  set (x := Z.shiftl (nth q error 0) up) in *. set (y := Z.shiftl (nth q error' 0) up') in *.
  assert (C1 : (a - b) - (a' - b') <= y - x) by lia. assert (C2 : (a' - b') - (a - b) <= y - x) by lia.
  apply IZR_le in C1, C2. rewrite !minus_IZR in C1, C2.
  set (S := (token_scores M q t - token_scores M q t')%R) in *.
  unfold Rabs in *. destruct (Rcase_abs _) in close; destruct (Rcase_abs _); nra.
Qed.

Lemma same_list_eq : forall (A : Type) (same : A -> A -> bool), (forall x y, same x y = true -> x = y) ->
  forall a b, same_list same a b = true -> a = b.
Proof.
  intros A same right. induction a as [|x a IH]; intros [|y b] E; try discriminate; [reflexivity|]. cbn [same_list] in E.
  apply andb_prop in E. destruct E as [E1 E2]. f_equal; auto.
Qed.

Lemma same_rows_eq : forall a b, same_rows a b = true -> a = b.
Proof. apply same_list_eq, same_list_eq. intros x y E. now apply Z.eqb_eq. Qed.

Lemma bounds_entail_shape : forall d s i, bounds_entail d s = Fine tt ->
  length (rows d) = length (rows s) /\ length (nth i (rows d) []) = length (nth i (rows s) []).
Proof.
  intros d s i E. unfold bounds_entail in E. apply each_sound in E. destruct E as [L E]. split; [exact L|].
  destruct (Nat.lt_ge_cases i (length (rows s))) as [I|I].
  - specialize (E i [] [] I). apply each_sound in E. exact (proj1 E).
  - now rewrite !nth_overflow by lia.
Qed.

Lemma ranges_entail_sound : forall d s m q n, ranges_entail d s = Fine tt ->
  range_at d m q n = range_at s m q n \/
  exists gap low high low' high', range_at d m q n = [gap; low; high] /\ range_at s m q n = [gap; low'; high'] /\
    low' <= low /\ high <= high'.
Proof.
  intros d s m q n E. unfold ranges_entail, range_at in *. apply each_sound in E. destruct E as [L E].
  destruct (Nat.lt_ge_cases m (length s)) as [I|I].
  2:{ left. now rewrite (nth_overflow d), (nth_overflow s) by lia. }
  specialize (E m [] [] I). apply each_sound in E. destruct E as [L' E].
  destruct (Nat.lt_ge_cases q (length (nth m s []))) as [J|J].
  2:{ left. now rewrite (nth_overflow (nth m d [])), (nth_overflow (nth m s [])) by lia. }
  specialize (E q [] [] J). apply each_sound in E. destruct E as [L'' E].
  destruct (Nat.lt_ge_cases n (length (nth q (nth m s []) []))) as [K|K].
  2:{ left. now rewrite (nth_overflow (nth q (nth m d []) [])), (nth_overflow (nth q (nth m s []) [])) by lia. }
  specialize (E n [] [] K). cbv beta in E.
  destruct (nth n (nth q (nth m d []) []) []) as [|gap [|low [|high [|]]]]; destruct (nth n (nth q (nth m s []) []) []) as [|gap' [|low' [|high' [|]]]];
    try discriminate; [now left|].
  apply require_fine in E. destruct E as [T _]. rewrite !andb_true_iff, Z.eqb_eq, !Z.leb_le in T. destruct T as [[-> ?] ?].
  right. exists gap', low, high, low', high'. repeat split; assumption.
Qed.

Lemma entails_sound : forall M margin d s, entails d s = Fine tt -> holds M margin d -> holds M margin s.
Proof.
  intros M margin d s E H. destruct d, s; try discriminate; cbn [entails holds] in *.
  - intros q m y Q Hm Hy other. apply Rle_trans with (1 := H q m y Q Hm Hy other). now apply bounds_entail_sound.
  - intros t m y p T Hm Hy other P. apply Rle_trans with (1 := H t m y p T Hm Hy other P). now apply bounds_entail_sound.
  - intros t S [some all]. apply H; [assumption|]. split; [assumption|]. intros token I other.
    apply masks_entail_sound with (1 := E). now apply all.
  - now apply counts_entail_sound with (1 := E).
  - apply require_fine in E. destruct E as [T _].
    rewrite andb_true_iff, !Z.leb_le in T. destruct T, H as [A B].
    split; [apply at_least_weaken with (1 := A) | apply at_least_weaken with (1 := B)]; auto.
  - exact (scores_entail_sound M margin _ _ _ _ E H).
  - apply require_fine in E. destruct E as [same E]. apply andb_prop in same. destruct same as [e r].
    apply Z.eqb_eq in e. apply same_rows_eq in r. intros q y y' Q Y Y'.
    assert (K : forall y, kept_path M centre0 y = kept_path M centre y) by (intros; unfold kept_path, number, entry; now rewrite <- r, <- e).
    rewrite !K. apply Rle_trans with (1 := H q y y' Q Y Y'). now apply bounds_entail_sound.
  - intros t t' y y' T Ht Y Y'. apply Rle_trans with (1 := H t t' y y' T Ht Y Y'). now apply bounds_entail_sound.
  - destruct (bounds_entail spread spread0) as [[]|] eqn:B; [|discriminate]. intros q m y n p a Q Hm Y other N P A.
    destruct (H q m y n p a Q Hm Y other N P A) as (l & small & less). exists l. cbn zeta in *.
    assert (same : lines_row M lines m n = lines_row M lines0 m n).
    { unfold lines_row, row_of_lines. destruct (bounds_entail_shape lines lines0 0 E) as [-> _]. reflexivity. }
    rewrite same in *. set (r := lines_row M lines0 m n) in *. destruct (bounds_entail_shape lines lines0 r E) as [_ <-].
    split; [exact small|]. apply Rle_trans with (1 := less).
    pose proof (bounds_entail_sound spread spread0 0 q B). pose proof (bounds_entail_sound lines lines0 r (2 * l) E).
    pose proof (bounds_entail_sound lines lines0 r (2 * l + 1) E). nra.
  - apply require_fine in E. destruct E as [same E]. apply Z.eqb_eq in same. subst bits0. destruct H as [fit H]. split.
    + intros m q n gap low high Q R. destruct (ranges_entail_sound ranges ranges0 m q n E) as [same | (g & l & h & l' & h' & D & S & _)].
      * rewrite <- same in R. now apply (fit m q n gap low high).
      * rewrite R in S. inversion S; subst. now apply (fit m q n g l h).
    + intros t T. specialize (H t T). unfold range_true in *.
      destruct (ranges_entail_sound ranges ranges0 (label t) (query M t) (others M t) E) as [same | (g & l & h & l' & h' & D & S & A & B)].
      * now rewrite <- same.
      * rewrite D in H. rewrite S. intros apart. specialize (H apart). apply IZR_le in A, B. lra.
Qed.
