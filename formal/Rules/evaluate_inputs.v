(** rules.md, evaluate_inputs: every input evaluated, within a radius. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Real.Sums Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp Facts Count.Counting Count.Packed.
From Compact Require Import Regions.Inputs General.Balls General.Tables General.Forward General.Problem General.Statements.
Import ListNotations.
Open Scope Z_scope.

(** ** Counts by label and query, in increasing order *)

Fixpoint update {A : Type} (key : nat) (empty : A) (f : A -> A) (l : list (nat * A)) : list (nat * A) :=
  match l with
  | [] => [(key, f empty)]
  | (k, a) :: rest =>
      if Nat.ltb key k then (key, f empty) :: l else if Nat.eqb key k then (k, f a) :: rest else (k, a) :: update key empty f rest
  end.

(** By label, then by query, the weight of correct and of wrong inputs. *)
Definition tallied := list (nat * list (nat * (Z * Z))).

(** An input of this label and query is proved correct, or proved wrong, or left. *)
Definition tally (label query : nat) (verdict : option bool) (weight : Z) : tallied -> tallied :=
  update label [] (update query (0, 0) (fun counts => let (c, n) := counts in
    match verdict with Some true => (c + weight, n) | Some false => (c, n + weight) | None => (c, n) end)).

(** ** One input *)

(** What logits within a radius say about an input with the label [c]. *)
Definition decided (bits : Z) (margin : fraction) (c : nat) (logits : option ball) : option bool :=
  match logits with
  | None => None
  | Some b =>
      match firstn c (centre b) ++ skipn (S c) (centre b) with
      | [] => Some true
      | rivals =>
          let gap := nth c (centre b) 0 - largest rivals in
          let doubt := 2 * radius b in
          let least := Z.shiftl (fst margin) bits in
          if least <? (gap - doubt) * snd margin then Some true else if (gap + doubt) * snd margin <=? least then Some false else None
      end
  end.

(** A token at a position, with its weight, as the query of these inputs sees it. *)
Record item := Item { token : nat; weighs : Z; viewed : option (list part) }.

Section Program.
Variables (w : layer_weights) (P : problem) (margin : fraction).
Notation r := (readout P).
Notation seen := (seen_positions w P).

(** One input by itself. *)
Definition alone (M : rounded) (x : list nat) : option ball :=
  let q := nth r x 0%nat in
  let queries := queries_at w M r q in
  logits_of M (residual_ball w (bits_of M) r q) (map (fun p => view M queries (place_of w M p (nth p x 0%nat))) (seq 0 seen)).

(** The first of several precisions that decides. *)
Fixpoint settled (finer : list rounded) (c : nat) (x : list nat) : option bool :=
  match finer with
  | [] => None
  | M :: rest => match decided (bits_of M) margin c (alone M x) with Some verdict => Some verdict | None => settled rest c x end
  end.

Section Query.
Variables (M : rounded) (finer : list rounded) (q : nat).

Definition logits_at (prefix : list item) : option ball := logits_of M (residual_ball w (bits_of M) r q) (map viewed prefix).

Definition count_input (logits : option ball) (weight : Z) (state : list Z) (input : list item) (counts : tallied) : outcome tallied :=
  let label := output (answer P) state in
  require ((0 <=? label) && (label <? Z.of_nat (size_m w))) wrong_task
  (let c := Z.to_nat label in
   let verdict := match decided (bits_of M) margin c logits with Some verdict => Some verdict | None => settled finer c (map token input) end in
   Fine (tally c q verdict weight counts)).

(** Inputs with the same tokens at the positions that are seen share the logits. [behind] has the tokens so far, the last
    one first. *)
Fixpoint walk (rows : list (list item)) (p : nat) (behind : list item) (logits : option ball) (weight : Z) (state : list Z)
  (counts : outcome tallied) : outcome tallied :=
  match counts with
  | Refused why => Refused why
  | Fine so_far =>
      let logits' := if Nat.eqb p seen then logits_at (rev behind) else logits in
      match rows with
      | [] => count_input logits' weight state (rev behind) so_far
      | row :: rest =>
          fold_left (fun counts one => walk rest (S p) (one :: behind) logits' (weight * weighs one) (step_read P p (token one) state) counts) row counts
      end
  end.
End Query.

(** By position, each token that can stand there, with its weight, and its keys and values if it is seen. *)
Definition placed (M : rounded) : list (list (nat * Z * option place)) :=
  map (fun one : nat * list (nat * Z) => let (p, row) := one in
      map (fun a => (a, if Nat.ltb p seen then place_of w M p (fst a) else None)) row)
    (combine (seq 0 (length (allowed P))) (allowed P)).

(** The same for one query. *)
Definition items_of (M : rounded) (places : list (list (nat * Z * option place))) (q : nat) : list (list item) :=
  let queries := queries_at w M r q in
  map (fun one : nat * list (nat * Z * option place) => let (p, row) := one in
      map (fun a : nat * Z * option place => Item (fst (fst a)) (snd (fst a)) (view M queries (snd a)))
        (if Nat.eqb p r then filter (fun a : nat * Z * option place => Nat.eqb (fst (fst a)) q) row else row))
    (combine (seq 0 (length places)) places).

Definition entries_of (counts : tallied) : list entry_of_tally :=
  flat_map (fun of_label : nat * list (nat * (Z * Z)) => map (fun of_query : nat * (Z * Z) =>
    Entry (Z.of_nat (fst of_label)) (Z.shiftl 1 (Z.of_nat (fst of_query))) (Z.ones (Z.of_nat (length (allowed P))))
      (fst (snd of_query)) (snd (snd of_query))) (snd of_label)) counts.

Definition evaluate_inputs (budget : Z) (precisions : list Z) : outcome statement :=
  match precisions with
  | [] => Refused out_of_range
  | first :: rest =>
      require (forallb (Z.leb 0) precisions) out_of_range
      (require (ways (allowed P) <=? budget) over_budget
      (let M := round_layer w first in
       let finer := map (round_layer w) rest in
       let places := placed M in
       match fold_left (fun counts a => walk M finer (fst a) (items_of M places (fst a)) 0 [] None 1 (start (answer P)) counts)
         (nth r (allowed P) []) (Fine []) with
       | Refused why => Refused why
       | Fine counts => Fine (Tally_of_weights (entries_of counts))
       end))
  end.
End Program.

(** ** Soundness *)

Lemma update_all : forall (A : Type) (Q Q' : nat * A -> Prop) key empty f l, (forall one, Q one -> Q' one) -> Q' (key, f empty) ->
  (forall a, Q (key, a) -> Q' (key, f a)) -> Forall Q l -> Forall Q' (update key empty f l).
Proof.
  intros A Q Q' key empty f l more new changed all. induction all as [|[k a] rest H T IH]; cbn [update]; [now constructor|].
  destruct (Nat.ltb key k); [constructor; [exact new | constructor; [now apply more | now apply (Forall_impl _ more)]]|].
  destruct (Nat.eqb key k) eqn:E; constructor; auto; [|now apply (Forall_impl _ more)]. apply Nat.eqb_eq in E. subst. now apply changed.
Qed.

Lemma in_rivals : forall l c z, In z (firstn c l ++ skipn (S c) l) <-> exists y, (y < length l)%nat /\ y <> c /\ nth y l 0 = z.
Proof.
  induction l as [|a l IH]; intros c z.
  - rewrite firstn_nil. cbn. split; [intros [] | intros (y & Y & _); lia].
  - destruct c as [|c].
    + cbn [firstn skipn app]. split.
      * intros I. apply (In_nth _ _ 0) in I. destruct I as (j & J & <-). exists (S j). cbn. repeat split; lia.
      * intros (y & Y & other & <-). destruct y as [|y]; [lia|]. cbn. apply nth_In. cbn in Y. lia.
    + change (firstn (S c) (a :: l) ++ skipn (S (S c)) (a :: l)) with (a :: firstn c l ++ skipn (S c) l). cbn [In]. rewrite IH. split.
      * intros [<-|(y & Y & other & <-)]; [exists 0%nat; cbn; repeat split; lia | exists (S y); cbn; repeat split; lia].
      * intros (y & Y & other & <-). destruct y as [|y]; [now left|]. right. exists y. cbn in Y. repeat split; lia.
Qed.

Lemma largest_in : forall l, l <> [] -> In (largest l) l.
Proof.
  intros [|x l] some; [easy|]. cbn [largest]. clear some. induction l as [|y l IH]; cbn [fold_right]; [now left|].
  destruct (Z.max_spec y (fold_right Z.max x l)) as [[_ ->]|[_ ->]]; [destruct IH as [E|I]; [left; exact E | right; now right] | right; now left].
Qed.

Lemma decided_right : forall bits margin c b m f, 0 <= bits -> 0 < snd margin -> holds_vector bits b m f -> (c < m)%nat ->
  match decided bits margin c (Some b) with
  | Some true => forall y, (y < m)%nat -> y <> c -> (f y + value_of margin < f c)%R
  | Some false => exists y, (y < m)%nat /\ y <> c /\ ~ (f y + value_of margin < f c)%R
  | None => True
  end.
Proof.
  intros bits margin c b m f natural positive (Len & _ & near) C. unfold decided.
  pose proof (in_rivals (centre b) c) as rivals_. set (rivals := firstn c (centre b) ++ skipn (S c) (centre b)) in *.
  assert (each : forall y, (y < m)%nat -> y <> c -> In (nth y (centre b) 0) rivals) by (intros y Y other; apply rivals_; exists y; repeat split; [lia | exact other]).
  pose proof (pow2_pos bits) as unit. apply IZR_lt in positive as below. pose proof (near c C) as at_c. apply Rabs_between in at_c.
  destruct rivals as [|z rest] eqn:E; [intros y Y other; destruct (each y Y other)|]. rewrite <- E in *.
  set (top := largest rivals). set (least := Z.shiftl (fst margin) bits).
  assert (EL : (IZR least = value_of margin * pow2 bits * IZR (snd margin))%R).
  { unfold least. rewrite shiftl_real by exact natural. unfold value_of. field. lra. }
  destruct (least <? _) eqn:T1.
  - apply Z.ltb_lt, IZR_lt in T1. intros y Y other. pose proof (near y Y) as at_y. apply Rabs_between in at_y.
    pose proof (largest_ge rivals _ (each y Y other)) as G. fold top in G. apply IZR_le in G.
    rewrite EL, mult_IZR, !minus_IZR, mult_IZR in T1. apply Rmult_lt_reg_r in T1; [|exact below].
    apply Rmult_lt_reg_r with (pow2 bits); [exact unit|]. rewrite Rmult_plus_distr_r. lra.
  - destruct (_ <=? least) eqn:T2; [|exact I]. apply Z.leb_le, IZR_le in T2.
    assert (some : rivals <> []) by (rewrite E; discriminate). pose proof (proj1 (rivals_ top) (largest_in rivals some)) as (y & Y & other & at_top).
    rewrite Len in Y. exists y. split; [exact Y|]. split; [exact other|]. pose proof (near y Y) as at_y. apply Rabs_between in at_y. rewrite at_top in at_y.
    rewrite EL, mult_IZR, plus_IZR, minus_IZR, mult_IZR in T2. apply Rmult_le_reg_r in T2; [|exact below].
    intros less. apply (Rmult_lt_compat_r (pow2 bits)) in less; [|exact unit]. rewrite Rmult_plus_distr_r in less. lra.
Qed.

Section Sound.
Variables (w : layer_weights) (P : problem) (margin : fraction).
Hypothesis fits : problem_fits w P = true.
Hypothesis positive : 0 < snd margin.
Notation L := (layer_of w).
Notation r := (readout P).
Notation k := (length (allowed P)).
Notation seen := (seen_positions w P).
Notation m := (size_m w).
Notation ok := (answered L P (value_of margin)).

Definition verdict_right (x : list nat) (v : option bool) : Prop :=
  match v with Some true => ok x | Some false => ~ ok x | None => True end.

Lemma decided_verdict : forall bits c x logits, 0 <= bits -> (c < m)%nat -> Z.of_nat c = right_answer P x ->
  (forall b, logits = Some b -> holds_vector bits b m (logit_at L x r)) -> verdict_right x (decided bits margin c logits).
Proof.
  intros bits c x [b|] natural C Lab inside; [|exact I].
  pose proof (decided_right bits margin c b m _ natural positive (inside b eq_refl) C) as D.
  destruct (decided bits margin c (Some b)) as [[]|]; [| |exact I]; unfold verdict_right, answered.
  - exists c. split; [exact Lab|]. split; [exact C|]. exact D.
  - intros (c' & Lab' & _ & all). assert (c' = c) by lia. subst c'. destruct D as (y & Y & other & no). exact (no (all y Y other)).
Qed.

Lemma logits_of_input : forall bits x q views, 0 <= bits -> In x (inputs (allowed P)) -> nth r x 0%nat = q -> length views = seen ->
  (forall p, (p < seen)%nat -> nth p views None = view (round_layer w bits) (queries_at w (round_layer w bits) r q) (place_of w (round_layer w bits) p (nth p x 0%nat))) ->
  forall b, logits_of (round_layer w bits) (residual_ball w bits r q) views = Some b -> holds_vector bits b m (logit_at L x r).
Proof.
  intros bits x q views natural input <- Len each b E. pose proof (fits_parts w P fits) as (shaped & _ & exist & _).
  pose proof (seen_fits w P fits) as [R S]. pose proof (visible_of_input w P x input) as V.
  apply (logits_right w bits r x shaped natural) with (views := views); rewrite ?V; try assumption; [lia|].
  intros p H. apply (input_token w P fits x p input). lia.
Qed.

Lemma alone_right : forall bits x, 0 <= bits -> In x (inputs (allowed P)) ->
  forall b, alone w P (round_layer w bits) x = Some b -> holds_vector bits b m (logit_at L x r).
Proof.
  intros bits x natural input b E. unfold alone in E. cbn [bits_of round_layer] in E. revert b E.
  apply logits_of_input; try assumption; [reflexivity | now rewrite map_length, seq_length|].
  intros p H. rewrite (nth_map _ _ _ _ p 0%nat) by (rewrite seq_length; exact H). now rewrite seq_nth by exact H.
Qed.

Lemma settled_right : forall rest c x, Forall (fun bits => 0 <= bits) rest -> (c < m)%nat -> Z.of_nat c = right_answer P x -> In x (inputs (allowed P)) ->
  verdict_right x (settled w P margin (map (round_layer w) rest) c x).
Proof.
  induction rest as [|bits rest IH]; intros c x natural C Lab input; [exact I|]. inversion natural as [|? ? N natural']; subst. cbn [map settled].
  pose proof (decided_verdict bits c x (alone w P (round_layer w bits) x) N C Lab (alone_right bits x N input)) as D. cbn [bits_of round_layer] in *.
  destruct (decided bits margin c _); [exact D | now apply IH].
Qed.

(** *** What counts say *)

(** Different inputs of the set [D] that have the property [Q] weigh at least [n]. *)
Definition weigh_among (D : list nat -> Prop) (n : Z) (Q : list nat -> Prop) : Prop :=
  exists xs, NoDup xs /\ Forall (fun x => D x /\ 0 < weight_of_input (allowed P) x /\ Q x) xs /\ n <= total_weight (allowed P) xs.

Definition cell (c q : nat) (x : list nat) : Prop := right_answer P x = Z.of_nat c /\ nth r x 0%nat = q.

Definition count_true (D : list nat -> Prop) (c : nat) (of_query : nat * (Z * Z)) : Prop :=
  weigh_among D (fst (snd of_query)) (fun x => ok x /\ cell c (fst of_query) x) /\
  weigh_among D (snd (snd of_query)) (fun x => ~ ok x /\ cell c (fst of_query) x).

Definition counts_true (D : list nat -> Prop) (counts : tallied) : Prop :=
  Forall (fun of_label => Forall (count_true D (fst of_label)) (snd of_label)) counts.

Lemma weigh_among_nothing : forall D Q, weigh_among D 0 Q.
Proof. intros. exists []. split; [constructor|]. split; [constructor | cbn; lia]. Qed.

Lemma weigh_among_more : forall (D D' : list nat -> Prop) n (Q : list nat -> Prop), (forall x, D x -> D' x) -> weigh_among D n Q -> weigh_among D' n Q.
Proof. intros D D' n Q more (xs & U & all & many). exists xs. split; [exact U|]. split; [|exact many]. revert all. apply Forall_impl. intros x (A & B). auto. Qed.

Lemma weigh_among_add : forall (D : list nat -> Prop) n (Q : list nat -> Prop) x, ~ D x -> 0 < weight_of_input (allowed P) x -> Q x -> weigh_among D n Q ->
  weigh_among (fun y => D y \/ y = x) (n + weight_of_input (allowed P) x) Q.
Proof.
  intros D n Q x new pos good (xs & U & all & many). exists (x :: xs). split; [|split].
  - constructor; [|exact U]. intros I. rewrite Forall_forall in all. now destruct (all x I).
  - constructor; [auto|]. revert all. apply Forall_impl. intros y (A & B). auto.
  - cbn [total_weight fold_right]. fold (total_weight (allowed P) xs). lia.
Qed.

Lemma tally_true : forall (D : list nat -> Prop) counts c q v x, ~ D x -> 0 < weight_of_input (allowed P) x -> cell c q x -> verdict_right x v ->
  counts_true D counts -> counts_true (fun y => D y \/ y = x) (tally c q v (weight_of_input (allowed P) x) counts).
Proof.
  intros D counts c q v x new pos here right all. unfold tally.
  assert (more : forall c' one, count_true D c' one -> count_true (fun y => D y \/ y = x) c' one).
  { intros c' one [A B]. split; (eapply weigh_among_more; [|eassumption]); auto. }
  assert (changed : forall a, count_true D c (q, a) -> count_true (fun y => D y \/ y = x) c (q, let (a1, a2) := a in
    match v with Some true => (a1 + weight_of_input (allowed P) x, a2) | Some false => (a1, a2 + weight_of_input (allowed P) x) | None => (a1, a2) end)).
  { intros [a1 a2] H. pose proof (more _ _ H) as [A' B']. destruct H as [A B]. cbn [fst snd] in *.
    destruct v as [[]|]; split; cbn [fst snd]; try assumption; now apply weigh_among_add. }
  assert (nothing : forall D', count_true D' c (q, (0, 0))) by (intros D'; split; apply weigh_among_nothing).
  assert (inner : forall l, Forall (count_true D c) l -> Forall (count_true (fun y => D y \/ y = x) c) (update q (0, 0) (fun counts => let (a1, a2) := counts in
    match v with Some true => (a1 + weight_of_input (allowed P) x, a2) | Some false => (a1, a2 + weight_of_input (allowed P) x) | None => (a1, a2) end) l)).
  { intros l. apply update_all; [apply more | exact (changed (0, 0) (nothing D)) | exact changed]. }
  unfold counts_true. apply update_all with (Q := fun of_label => Forall (count_true D (fst of_label)) (snd of_label)); [| | |exact all]; cbn [fst snd].
  - intros one. apply Forall_impl, more.
  - apply inner. constructor.
  - exact inner.
Qed.

(** *** The walk *)

Section Walk.
Variables (bits : Z) (rest : list Z) (q : nat).
Hypothesis natural : 0 <= bits.
Hypothesis natural_rest : Forall (fun bits => 0 <= bits) rest.
Notation M := (round_layer w bits).
Notation finer := (map (round_layer w) rest).
Notation logits_at := (logits_at w P M q).
Notation count_input := (count_input w P margin M finer q).

Definition count_one (p : nat) (before : list item) (weight : Z) (state : list Z) (counts : outcome tallied) (input : list item) : outcome tallied :=
  match counts with
  | Refused why => Refused why
  | Fine so_far => count_input (logits_at (firstn seen (before ++ input))) (weight * multiply (map weighs input))
      (run (answer P) (reading P) state p (map token input)) (before ++ input) so_far
  end.

Lemma count_one_refused : forall p before weight state l why, fold_left (count_one p before weight state) l (Refused why) = Refused why.
Proof. intros p before weight state l why. induction l as [|a l IH]; [reflexivity | exact IH]. Qed.

Lemma fold_left_same : forall (A B : Type) (f g : A -> B -> A) l a, (forall a b, In b l -> f a b = g a b) -> fold_left f l a = fold_left g l a.
Proof.
  intros A B f g. induction l as [|b l IH]; intros a same; [reflexivity|]. cbn [fold_left]. rewrite same by now left. apply IH. intros; apply same; now right.
Qed.

Lemma fold_left_flat_map : forall (A B C : Type) (f : A -> B -> A) (g : C -> list B) l a,
  fold_left f (flat_map g l) a = fold_left (fun a c => fold_left f (g c) a) l a.
Proof. intros A B C f g. induction l as [|c l IH]; intros a; [reflexivity|]. cbn [flat_map fold_left]. now rewrite fold_left_app, IH. Qed.

Lemma fold_left_map : forall (A B C : Type) (f : A -> B -> A) (g : C -> B) l a, fold_left f (map g l) a = fold_left (fun a c => f a (g c)) l a.
Proof. intros A B C f g. induction l as [|c l IH]; intros a; [reflexivity|]. cbn [map fold_left]. now rewrite IH. Qed.

Lemma walk_all : forall rows p behind logits weight state counts, length behind = p -> (seen <= p + length rows)%nat ->
  ((seen < p)%nat -> logits = logits_at (firstn seen (rev behind))) ->
  walk w P margin M finer q rows p behind logits weight state counts = fold_left (count_one p (rev behind) weight state) (product rows) counts.
Proof.
  induction rows as [|row rows IH]; intros p behind logits weight state counts Len enough known; destruct counts as [so_far|why];
    cbn [walk]; rewrite ?count_one_refused; try reflexivity.
  - cbn [product fold_left count_one map multiply run]. rewrite Z.mul_1_r, app_nil_r. cbn [length] in enough.
    destruct (Nat.eqb p seen) eqn:E.
    + apply Nat.eqb_eq in E. rewrite firstn_all2 by (rewrite rev_length; lia). reflexivity.
    + apply Nat.eqb_neq in E. now rewrite known by lia.
  - cbn [product]. rewrite fold_left_flat_map. apply fold_left_same. intros counts one _. rewrite fold_left_map. rewrite IH.
    + apply fold_left_same. intros so_far' input _. unfold count_one. destruct so_far' as [so_far'|]; [|reflexivity].
      cbn [rev map multiply run]. rewrite <- app_assoc. cbn [app]. rewrite Z.mul_assoc. reflexivity.
    + cbn [length]. lia.
    + cbn [length] in enough. lia.
    + intros beyond. cbn [rev]. rewrite firstn_app, rev_length, Len. replace (seen - p)%nat with 0%nat by lia. cbn [firstn]. rewrite app_nil_r.
      destruct (Nat.eqb p seen) eqn:E.
      * apply Nat.eqb_eq in E. now rewrite firstn_all2 by (rewrite rev_length; lia).
      * apply Nat.eqb_neq in E. apply known. lia.
Qed.

Definition item_right (p : nat) (it : item) : Prop :=
  In (token it, weighs it) (nth p (allowed P) []) /\ (p = r -> token it = q) /\
  ((p < seen)%nat -> viewed it = view M (queries_at w M r q) (place_of w M p (token it))).

Definition input_right (input : list item) : Prop := length input = k /\ forall p it, nth_error input p = Some it -> item_right p it.

Lemma input_facts : forall input, input_right input -> let x := map token input in
  In x (inputs (allowed P)) /\ multiply (map weighs input) = weight_of_input (allowed P) x /\ nth r x 0%nat = q.
Proof.
  intros input [Len each] x. pose proof (fits_parts w P fits) as (_ & R & _ & D & _).
  assert (G : forall c l p, length l = length c -> (forall j it, nth_error l j = Some it -> In (token it, weighs it) (nth (p + j) (repeat [] p ++ c) [])) ->
    In (map (fun it => (token it, weighs it)) l) (product c)).
  { clear. induction c as [|row c IH]; intros [|it l] p Len each; try discriminate; [now left|]. rewrite in_product. cbn [map]. constructor.
    - specialize (each 0%nat it eq_refl). rewrite app_nth2 in each by (rewrite repeat_length; lia). rewrite repeat_length in each.
      now replace (p + 0 - p)%nat with 0%nat in each by lia.
    - apply in_product. apply IH with (p := p); [simpl in Len; lia|]. intros j it' E. specialize (each (S j) it' E).
      rewrite app_nth2 in * by (rewrite repeat_length; lia). rewrite repeat_length in *. replace (p + S j - p)%nat with (S j) in each by lia.
      now replace (p + j - p)%nat with j by lia. }
  specialize (G (allowed P) input 0%nat Len ltac:(intros j it E; exact (proj1 (each j it E)))).
  assert (E : map fst (map (fun it => (token it, weighs it)) input) = x) by (rewrite map_map; reflexivity). split; [|split].
  - apply in_inputs. now exists (map (fun it => (token it, weighs it)) input).
  - rewrite weight_same, <- E, weight_in_member by assumption. unfold weight_along. now rewrite map_map.
  - destruct (nth_error input r) as [it|] eqn:N; [|apply nth_error_None in N; lia].
    unfold x. rewrite (nth_error_nth (map token input) r 0%nat (x := token it)) by (rewrite nth_error_map, N; reflexivity).
    now apply (each r it N).
Qed.

Lemma logits_right_of_input : forall input, input_right input ->
  forall b, logits_at (firstn seen input) = Some b -> holds_vector bits b m (logit_at L (map token input) r).
Proof.
  intros input right b E. destruct (input_facts input right) as (input_ & _ & query_). destruct right as [Len each].
  pose proof (seen_fits w P fits) as [_ S]. unfold evaluate_inputs.logits_at in E. cbn [bits_of round_layer] in E. revert b E.
  assert (LF : length (firstn seen input) = seen) by (rewrite firstn_length; lia).
  apply logits_of_input; try assumption; [now rewrite map_length|].
  intros p H. destruct (nth_error input p) as [it|] eqn:N; [|apply nth_error_None in N; lia].
  assert (NF : nth_error (firstn seen input) p = Some it).
  { rewrite <- (firstn_skipn seen input) in N. rewrite nth_error_app1 in N by lia. exact N. }
  rewrite (nth_error_nth (map viewed (firstn seen input)) p None (x := viewed it)) by (rewrite nth_error_map, NF; reflexivity).
  rewrite (nth_error_nth (map token input) p 0%nat (x := token it)) by (rewrite nth_error_map, N; reflexivity).
  now apply (each p it N).
Qed.

Lemma count_one_true : forall (D : list nat -> Prop) so_far input counts, input_right input -> ~ D (map token input) -> counts_true D so_far ->
  count_one 0 [] 1 (start (answer P)) (Fine so_far) input = Fine counts -> counts_true (fun y => D y \/ y = map token input) counts.
Proof.
  intros D so_far input counts right new all E. destruct (input_facts input right) as (input_ & weight_ & query_).
  unfold count_one in E. cbn [app] in E. unfold evaluate_inputs.count_input in E. set (x := map token input) in *.
  rewrite Z.mul_1_l, weight_ in E. fold (right_answer P x) in E. apply require_fine in E. destruct E as [T E].
  rewrite andb_true_iff, Z.leb_le, Z.ltb_lt in T. apply fine_eq in E. subst counts.
  assert (Lab : Z.of_nat (Z.to_nat (right_answer P x)) = right_answer P x) by lia.
  apply tally_true; try assumption; [now apply (weight_positive w P fits) | split; [now symmetry | exact query_]|].
  pose proof (decided_verdict bits (Z.to_nat (right_answer P x)) x _ natural ltac:(lia) Lab (logits_right_of_input input right)) as V.
  cbn [bits_of round_layer]. destruct (decided bits margin _ _); [exact V|]. apply settled_right; try assumption. lia.
Qed.

Lemma fold_true : forall ins D so_far counts, NoDup (map (map token) ins) -> Forall input_right ins -> (forall input, In input ins -> ~ D (map token input)) ->
  counts_true D so_far -> fold_left (count_one 0 [] 1 (start (answer P))) ins (Fine so_far) = Fine counts ->
  counts_true (fun y => D y \/ In y (map (map token) ins)) counts.
Proof.
  assert (weaker : forall (D D' : list nat -> Prop) counts, (forall x, D x -> D' x) -> counts_true D counts -> counts_true D' counts).
  { intros D D' counts more. apply Forall_impl. intros one. apply Forall_impl. intros a [A B]. split; eapply weigh_among_more; eauto. }
  induction ins as [|input ins IH]; intros D so_far counts U right new all E.
  - cbn [fold_left] in E. apply fine_eq in E. subst. apply weaker with (2 := all). auto.
  - cbn [fold_left] in E. inversion right as [|? ? R1 R2]; subst. cbn [map] in U. inversion U as [|? ? U1 U2]; subst.
    destruct (count_one 0 [] 1 _ (Fine so_far) input) as [next|why] eqn:F; [|rewrite count_one_refused in E; discriminate].
    apply count_one_true with (D := D) in F; [|exact R1 | apply new; now left | exact all].
    apply IH with (D := fun y => D y \/ y = map token input) in E; try assumption.
    + apply weaker with (2 := E). intros y [[A| ->]|A]; [now left | right; now left | right; now right].
    + intros other I [A|A]; [apply (new other); [now right | exact A]|]. apply U1. rewrite <- A. now apply in_map.
Qed.

(** *** The items of a query *)

Notation items := (items_of w P M (placed w P M) q).

Lemma placed_at : length (placed w P M) = k /\ forall p, (p < k)%nat ->
  nth p (placed w P M) [] = map (fun a => (a, if Nat.ltb p seen then place_of w M p (fst a) else None)) (nth p (allowed P) []).
Proof.
  unfold placed. split; [rewrite map_length, combine_length, seq_length; lia|]. intros p H.
  rewrite (nth_map _ _ _ _ p (0%nat, [])) by (rewrite combine_length, seq_length; lia).
  rewrite combine_nth by apply seq_length. now rewrite seq_nth by lia.
Qed.

Lemma items_at : length items = k /\ forall p, (p < k)%nat -> nth p items [] =
  map (fun a : nat * Z * option place => Item (fst (fst a)) (snd (fst a)) (view M (queries_at w M r q) (snd a)))
    (if Nat.eqb p r then filter (fun a : nat * Z * option place => Nat.eqb (fst (fst a)) q) (nth p (placed w P M) []) else nth p (placed w P M) []).
Proof.
  destruct placed_at as [Lp _]. unfold items_of. split; [rewrite map_length, combine_length, seq_length; lia|]. intros p H.
  rewrite (nth_map _ _ _ _ p (0%nat, [])) by (rewrite combine_length, seq_length; lia).
  rewrite combine_nth by apply seq_length. now rewrite seq_nth by lia.
Qed.

Lemma items_right : Forall input_right (product items).
Proof.
  destruct items_at as [Li each]. destruct placed_at as [_ at_]. apply Forall_forall. intros input I. apply in_product in I.
  assert (G : forall l rows, Forall2 (fun (c : item) row => In c row) l rows ->
    length l = length rows /\ forall p it, nth_error l p = Some it -> In it (nth p rows [])).
  { clear. intros l rows H. induction H as [|c row l rows A _ [IH1 IH2]]; [split; [reflexivity | intros [|p] it E; discriminate]|].
    split; [cbn; lia|]. intros [|p] it E; cbn in *; [now inversion E; subst | now apply IH2]. }
  destruct (G _ _ I) as [Len inside]. split; [lia|]. intros p it N.
  assert (H : (p < k)%nat) by (rewrite <- Li, <- Len; apply nth_error_Some; congruence).
  specialize (inside p it N). rewrite each in inside by exact H. apply in_map_iff in inside. destruct inside as (a & <- & J).
  assert (K : In a (nth p (placed w P M) []) /\ (p = r -> fst (fst a) = q)).
  { destruct (Nat.eqb p r) eqn:E; [apply filter_In in J; destruct J as [J T]; apply Nat.eqb_eq in T; now split|].
    apply Nat.eqb_neq in E. split; [exact J | intros; contradiction]. }
  destruct K as [K query_]. rewrite at_ in K by exact H. apply in_map_iff in K. destruct K as (b & <- & K). cbn [fst snd] in *.
  split; [|split]; cbn [token weighs viewed].
  - now rewrite <- surjective_pairing.
  - exact query_.
  - intros S. now rewrite (proj2 (Nat.ltb_lt p seen) S).
Qed.

Lemma items_NoDup : NoDup (map (map token) (product items)).
Proof.
  destruct items_at as [Li each]. destruct placed_at as [_ at_]. pose proof (fits_parts w P fits) as (_ & _ & _ & D & _).
  rewrite product_map. apply product_NoDup. rewrite Forall_map. apply Forall_forall. intros row I. apply (In_nth _ _ []) in I. destruct I as (p & H & <-).
  rewrite Li in H. rewrite each by exact H. rewrite map_map. cbn [token].
  assert (U : NoDup (map (fun a : nat * Z * option place => fst (fst a)) (nth p (placed w P M) []))).
  { rewrite at_ by exact H. rewrite map_map. cbn [fst]. unfold distinct in D. rewrite Forall_forall in D. apply D, nth_In, H. }
  destruct (Nat.eqb p r); [now apply NoDup_map_filter | exact U].
Qed.

Theorem walk_true : forall (D : list nat -> Prop) so_far counts, (forall x, nth r x 0%nat = q -> ~ D x) -> counts_true D so_far ->
  walk w P margin M finer q items 0 [] None 1 (start (answer P)) (Fine so_far) = Fine counts -> counts_true (fun x => D x \/ nth r x 0%nat = q) counts.
Proof.
  intros D so_far counts new all E. destruct items_at as [Li _]. pose proof (seen_fits w P fits) as [_ S].
  rewrite walk_all in E by (reflexivity || (rewrite Li; lia) || (intros; lia)).
  pose proof items_right as right. apply fold_true with (D := D) in E; [| exact items_NoDup | exact right | | exact all].
  - revert E. apply Forall_impl. intros one. apply Forall_impl. intros a [A B].
    assert (more : forall x, D x \/ In x (map (map token) (product items)) -> D x \/ nth r x 0%nat = q).
    { intros x [d|I]; [now left|]. right. apply in_map_iff in I. destruct I as (input & <- & I). rewrite Forall_forall in right.
      now apply (input_facts input (right input I)). }
    split; now apply weigh_among_more with (1 := more).
  - intros input I. apply new. rewrite Forall_forall in right. now apply (input_facts input (right input I)).
Qed.
End Walk.

Theorem evaluate_inputs_sound : forall budget precisions f, evaluate_inputs w P margin budget precisions = Fine f -> means w P (value_of margin) f.
Proof.
  intros budget precisions f E. unfold evaluate_inputs in E. destruct precisions as [|bits rest]; [discriminate|].
  apply require_fine in E. destruct E as [T E]. apply require_fine in E. destruct E as [_ E]. cbn [forallb] in T. apply andb_prop in T. destruct T as [N NR].
  apply Z.leb_le in N. assert (natural_rest : Forall (fun bits => 0 <= bits) rest).
  { apply Forall_forall. intros b I. rewrite forallb_forall in NR. now apply Z.leb_le, NR. }
  pose proof (fits_parts w P fits) as (_ & R & _ & distinct_ & _).
  assert (U : NoDup (map fst (nth r (allowed P) []))) by (unfold distinct in distinct_; rewrite Forall_forall in distinct_; apply distinct_, nth_In, R).
  destruct (fold_left _ _ _) as [counts|] eqn:F; [|discriminate]. apply fine_eq in E. subst f.
  assert (G : forall l D so_far, NoDup (map fst l) -> (forall x, In (nth r x 0%nat) (map fst l) -> ~ D x) -> counts_true D so_far ->
    fold_left (fun (counts : outcome tallied) (a : nat * Z) => walk w P margin (round_layer w bits) (map (round_layer w) rest) (fst a)
      (items_of w P (round_layer w bits) (placed w P (round_layer w bits)) (fst a)) 0 [] None 1 (start (answer P)) counts) l (Fine so_far) = Fine counts ->
    exists D', counts_true D' counts).
  { clear F. induction l as [|[q weight] l IH]; intros D so_far U' new all F; cbn [fold_left map fst] in *.
    - apply fine_eq in F. subst. now exists D.
    - inversion U' as [|? ? U1 U2]; subst. destruct (walk _ _ _ _ _ _ _ _ _ _ _ _ (Fine so_far)) as [next|why] eqn:W.
      + apply walk_true with (D := D) in W; try assumption; [|intros x Q; apply new; now left].
        apply IH with (3 := W) in F; [exact F | exact U2|]. intros x I [d|Q]; [apply (new x); [now right | exact d] | rewrite Q in I; contradiction].
      + exfalso. clear - F. induction l as [|a l IH]; cbn [fold_left] in F; [discriminate|].
        apply IH. destruct (items_of _ _ _ _ _) in F; exact F. }
  destruct (G _ (fun _ => False) [] U ltac:(auto) (Forall_nil _) F) as (D & all). cbn [means].
  apply Forall_forall. intros e I. unfold entries_of in I. apply in_flat_map in I. destruct I as ([c per] & Ic & I). apply in_map_iff in I. destruct I as ([q counts'] & <- & I).
  unfold counts_true in all. rewrite Forall_forall in all. specialize (all _ Ic). cbn [fst snd] in all. rewrite Forall_forall in all. destruct (all _ I) as [A B].
  assert (here : forall x, cell c q x -> of_cell P (Entry (Z.of_nat c) (Z.shiftl 1 (Z.of_nat q)) (Z.ones (Z.of_nat k)) (fst counts') (snd counts')) x).
  { intros x [Lab Q]. split; [exact Lab|]. cbn [Facts.queries]. rewrite Q, Z.shiftl_1_l, Z.pow2_bits_eqb by lia. apply Z.eqb_refl. }
  cbn [fst snd] in *. split; cbn [Facts.right Facts.missed];
    [destruct A as (xs & U' & each & many) | destruct B as (xs & U' & each & many)]; exists xs; (split; [exact U'|]); (split; [|exact many]);
    revert each; apply Forall_impl; intros x (_ & pos & ok_ & Cell); auto.
Qed.
End Sound.
